"""The sockets that the supervisor binds."""

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from fluxlit_django.exceptions import StartupError
from fluxlit_django.supervisor.sockets import (
    LONGEST_SOCKET_PATH,
    SidecarSockets,
    bind_public_socket,
    generation_name,
)


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A path for a runtime directory, short enough for a socket."""
    return Path(f"/tmp/fluxlit-test-{os.getpid()}-{abs(hash(str(tmp_path))) % 10_000}")


def test_bind_public_socket__ipv4():
    """It listens already, so a child that inherits it has only to accept."""
    with (
        bind_public_socket("127.0.0.1", 0) as sock,
        socket.create_connection(sock.getsockname(), 1) as client,
    ):
        port = client.getpeername()[1]

    assert port > 0


def test_bind_public_socket__reuses_the_address():
    """A restart does not wait for connections of the last run to time out."""
    with bind_public_socket("127.0.0.1", 0) as sock:
        reuse = sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)

    assert reuse


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_bind_public_socket__ipv6(host):
    """An IPv6 address works with brackets and without."""
    with bind_public_socket(host, 0) as sock:
        family = sock.family

    assert family == socket.AF_INET6


def test_bind_public_socket__name_prefers_ipv4():
    """A name that has both families listens where everybody can reach it."""
    with bind_public_socket("localhost", 0) as sock:
        family = sock.family

    assert family == socket.AF_INET


def test_bind_public_socket__port_in_use():
    """The message names the address, the reason and another port."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(StartupError) as caught:
            bind_public_socket("127.0.0.1", port)

    assert f"Cannot listen on 127.0.0.1:{port}: the port is in use." in str(caught.value)
    assert "--port" in str(caught.value)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("192.0.2.1", "192.0.2.1 is not an address of this machine."),
        ("no-such-host.invalid", "the name has no address on this machine."),
    ],
)
def test_bind_public_socket__foreign_host(host, reason):
    """An address that is not of this machine is named with a remedy."""
    with pytest.raises(StartupError, match=reason) as caught:
        bind_public_socket(host, 0)

    assert "--host 127.0.0.1" in str(caught.value)


def test_sidecar_sockets__private_and_removed():
    """A fresh directory of mode 0700 with sockets of mode 0600, all gone at the end."""
    with SidecarSockets("", ["default-0", "explore-1"]) as sockets:
        directory = sockets.directory
        path = Path(sockets.address("explore-1").removeprefix("unix:"))
        modes = [stat.S_IMODE(found.lstat().st_mode) for found in (directory, path)]

    assert modes == [0o700, 0o600]
    assert directory / "explore-1.sock" == path
    assert not directory.exists()


def test_sidecar_sockets__connection_waits():
    """A connection made while nobody accepts waits for the next process."""
    with SidecarSockets("", ["default-0"]) as sockets, socket.socket(socket.AF_UNIX) as client:
        client.connect(sockets.address("default-0").removeprefix("unix:"))
        client.sendall(b"early")
        accepted, _ = sockets.sockets["default-0"].accept()
        with accepted:
            received = accepted.recv(16)

    assert received == b"early"


def test_sidecar_sockets__configured_directory(private):
    """A directory that is not there is made, and removed at the end."""
    with SidecarSockets(str(private), ["default-0"]):
        mode = stat.S_IMODE(private.stat().st_mode)

    assert mode == 0o700
    assert not private.exists()


def test_sidecar_sockets__existing_directory(private):
    """A directory of the user's stays, without the sockets; a stale socket of a killed run is replaced."""
    private.mkdir(mode=0o700)
    (private / "default-0.sock").touch()
    (private / "default-0.7.sock").touch()

    with SidecarSockets(str(private), ["default-0"]):
        names = os.listdir(private)

    assert names == ["default-0.sock"]
    assert os.listdir(private) == []
    private.rmdir()


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o777])
def test_sidecar_sockets__open_directory(private, mode):
    """A directory that others can enter is refused, with the command that closes it."""
    private.mkdir()
    private.chmod(mode)

    with pytest.raises(StartupError, match=f"chmod 700 {private}"), SidecarSockets(str(private), ["a-0"]):
        pass

    private.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_sidecar_sockets__directory_of_another_user(private):
    """A directory of another user is refused: its owner could put a socket there."""
    private.mkdir(mode=0o700)
    os.chown(private, 12345, -1)

    with pytest.raises(StartupError, match="belongs to another user"), SidecarSockets(str(private), ["a-0"]):
        pass

    private.rmdir()


def test_sidecar_sockets__symbolic_link(private):
    """A link may be turned to another place later, so it is refused."""
    private.symlink_to("/tmp")

    with pytest.raises(StartupError, match="is not a directory"), SidecarSockets(str(private), ["a-0"]):
        pass

    private.unlink()


def test_sidecar_sockets__path_of_a_file(tmp_path):
    """A parent that is a file cannot hold a directory; the message names the path."""
    (tmp_path / "file").touch()

    with (
        pytest.raises(StartupError, match="Cannot make the runtime directory"),
        SidecarSockets(str(tmp_path / "file" / "run"), ["a-0"]),
    ):
        pass


def test_sidecar_sockets__long_directory(tmp_path):
    """A path beyond the system's limit is refused before anything is made."""
    directory = tmp_path / ("d" * LONGEST_SOCKET_PATH)

    with pytest.raises(StartupError, match="bytes too long"), SidecarSockets(str(directory), ["a-0"]):
        pass

    assert not directory.exists()


def test_sidecar_sockets__longest_directory():
    """A path of just the limit works, also for the sockets of replacements: it is the limit."""
    directory = "/tmp/" + "d" * (LONGEST_SOCKET_PATH - len("/tmp//a-0.99999.sock"))

    with SidecarSockets(directory, ["a-0"]) as sockets:
        sockets.open(generation_name("a-0", 99999))
        length = len(sockets.address("a-0.99999").removeprefix("unix:"))

    assert length == LONGEST_SOCKET_PATH


def test_sidecar_sockets__of_a_replacement(private):
    """A replacement has a socket beside the first one's; closed, it is gone and the first one stays."""
    with SidecarSockets(str(private), ["a-0"]) as sockets:
        sockets.open(generation_name("a-0", 2))
        both = sorted(os.listdir(private))
        sockets.close(generation_name("a-0", 1))
        left = os.listdir(private)

    assert both == ["a-0.2.sock", "a-0.sock"]
    assert left == ["a-0.2.sock"]
    assert not private.exists()


def test_sidecar_sockets__long_temporary_directory(monkeypatch, tmp_path):
    """Where the system's temporary directory is too long for a socket, /tmp is used."""
    long = tmp_path / ("t" * 80)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))

    with SidecarSockets("", ["a-0"]) as sockets:
        parent = sockets.directory.parent

    assert Path("/tmp") == parent


def test_sidecar_sockets__shared_directory(private):
    """A second run in the same directory is refused and leaves the first one's sockets alone."""
    with SidecarSockets(str(private), ["a-0"]) as first:
        with pytest.raises(StartupError, match="in use by another"), SidecarSockets(str(private), ["a-0"]):
            pass
        remains = first.address("a-0").removeprefix("unix:")

        assert os.path.exists(remains)
