"""The README's example, followed to the letter in a new Django project."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.streamlit_protocol import StreamlitClient

README = Path(__file__).resolve().parent.parent / "README.md"

MODELS = """
from django.db import models

class Customer(models.Model):
    name = models.CharField(max_length=50)

class Order(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)
    total = models.DecimalField(max_digits=8, decimal_places=2)
"""

DATA = """
from django.contrib.auth import get_user_model
from shop.models import Customer, Order

get_user_model().objects.create_superuser("ada", "ada@example.com", "correct horse")
customer = Customer.objects.create(name="Grace")
Order.objects.create(customer=customer, total="12.50")
Order.objects.create(customer=customer, total="7.25")
"""


def read_example() -> tuple[str, str]:
    """The lines that the README adds to the settings, and its module of pages."""
    block = re.search(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert block
    settings, pages = block[1].split("# shop/streamlit_pages.py, found like admin.py\n")
    return settings.replace("[..., ", "[*INSTALLED_APPS, 'shop', "), pages


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """The environment of a newcomer: nothing of this test suite in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "FLUXLIT_"))}
    return kept | {"PYTHONUNBUFFERED": "1"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """A new project with an app `shop` and the README's example."""
    folder = tmp_path_factory.mktemp("mysite")

    def run(*arguments: str, text: str = "") -> None:
        subprocess.run(
            [sys.executable, *arguments], cwd=folder, env=environment, check=True, input=text, text=True
        )

    settings, pages = read_example()
    run("-m", "django", "startproject", "mysite", ".")
    run("manage.py", "startapp", "shop")
    with (folder / "mysite" / "settings.py").open("a") as file:
        file.write(settings)
    (folder / "shop" / "models.py").write_text(MODELS)
    (folder / "shop" / "streamlit_pages.py").write_text(pages)
    run("manage.py", "makemigrations", "--verbosity", "0", "shop")
    run("manage.py", "migrate", "--verbosity", "0")
    run("manage.py", "shell", "--verbosity", "0", "--command", DATA)
    return folder


@pytest.fixture(scope="module")
def url(project: Path, environment: dict[str, str]) -> Iterator[str]:
    """The public URL of the README's command, as its banner says it."""
    command = [sys.executable, "manage.py", "fluxlit_run", "--port", "0"]
    process = subprocess.Popen(
        command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout
    with process.stdout as output:
        seen: list[str] = []
        for line in output:
            seen.append(line)
            if match := re.search(r"Readiness\s+(http://\S+)/api/readyz", line):
                yield match[1]
                break
        else:
            pytest.fail("fluxlit_run ended before it served:\n" + "".join(seen))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0, output.read()


async def test_example__asks_an_anonymous_viewer_to_sign_in(url):
    """The page's document is Django's: it leads to the login page and back."""
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        answer = await client.get("/orders")

    assert (302, "/admin/login/?next=/orders") == (answer.status_code, answer.headers["location"])


async def test_example__shows_the_orm_to_a_signed_in_viewer(url):
    """After the login the page shows what the ORM knows."""
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        form = await client.get("/admin/login/?next=/orders")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form.text)[1]
        fields = {"username": "ada", "password": "correct horse", "csrfmiddlewaretoken": token}
        answer = await client.post("/admin/login/?next=/orders", data=fields, headers={"Referer": url})
        page = await client.get(answer.headers["location"])
        cookies = dict(client.cookies)

    async with StreamlitClient(url, cookies=cookies, headers={"Origin": url}) as tab:
        run = await tab.rerun(page="orders")

    assert '<div id="root">' in page.text
    assert [] == run.exceptions()
    metrics = [element.metric for element in run.elements() if element.HasField("metric")]
    assert [("Orders", "2")] == [(metric.label, metric.body) for metric in metrics]
    assert any(element.HasField("dataframe") for element in run.elements())
