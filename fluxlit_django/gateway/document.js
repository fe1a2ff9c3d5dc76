// Close codes 4401 and 4403 say that the viewer has to sign in, or may no more, and 4503 that every sidecar is
// busy: load the page again, so that Django shows its login page, its refusal, or that it is busy. 4410 says that
// an administrator has ended the session: load the page again, as a new one. Once in ten seconds at most, lest a
// page reload for ever.
(() => {
  const loadAgain = () => {
    try {
      const last = Number(sessionStorage.getItem("fluxlit.reloaded"));
      if (Date.now() - last < 10_000) return;
      sessionStorage.setItem("fluxlit.reloaded", String(Date.now()));
    } catch {
      return; // storage is blocked, as in a sandboxed frame
    }
    location.reload();
  };
  window.WebSocket = class extends window.WebSocket {
    constructor(...args) {
      super(...args);
      this.addEventListener("close", ({ code }) => [4401, 4403, 4410, 4503].includes(code) && loadAgain());
    }
  };
})();
