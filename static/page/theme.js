/* A classic script, so that a chosen theme holds before anything is drawn. */
(() => {
  try {
    const chosen = localStorage.getItem('zmart.theme');
    if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
  } catch {
    // Without storage the system's theme it is.
  }
})();
