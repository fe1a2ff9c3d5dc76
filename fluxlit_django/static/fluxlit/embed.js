// Lets each embedded Streamlit page be as high as its content. The frame is of the same origin, so its document
// can be measured; one of another origin keeps the height it was given. Every tag brings this script: it runs
// again for frames that are put into the page later, as htmx does.
(() => {
  const followed = (window.fluxlitEmbed ??= new WeakSet());

  // Streamlit 1.57 to 1.67: the block that holds the page, inside of what scrolls.
  const CONTENT = '[data-testid="stMainBlockContainer"]';
  const LEAST = 80;

  const follow = (frame) => {
    const page = frame.contentDocument;
    if (!page) return;
    let observed = null;
    const fit = () => {
      const height = Math.ceil(observed.getBoundingClientRect().height);
      if (height >= LEAST && Math.abs(height - frame.clientHeight) > 1) frame.style.height = `${height}px`;
    };
    const sizes = new frame.contentWindow.ResizeObserver(() => requestAnimationFrame(fit));
    const look = () => {
      const content = page.querySelector(CONTENT);
      if (!content || content === observed) return;
      sizes.disconnect();
      observed = content;
      sizes.observe(content);
    };
    new frame.contentWindow.MutationObserver(look).observe(page.documentElement, { childList: true, subtree: true });
    look();
  };

  const start = () => {
    for (const frame of document.querySelectorAll("iframe[data-fluxlit-auto-height]")) {
      if (followed.has(frame)) continue;
      followed.add(frame);
      frame.addEventListener("load", () => follow(frame));
      if (frame.contentDocument?.readyState === "complete" && frame.contentDocument.URL !== "about:blank") follow(frame);
    }
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
