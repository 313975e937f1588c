// The playground: Ctrl + Enter sends, and an answer that comes in takes neither what is being typed nor the place of the cursor.
(() => {
  const typed = new Map();
  let last = null;

  document.addEventListener("input", (event) => {
    const field = event.target.closest?.("[data-typed]");
    if (field) typed.set(field.id, field.value);
  });
  document.addEventListener("focusin", (event) => {
    last = event.target.closest?.("#tf-try [id]") ?? null;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    const form = event.target.closest?.("#tf-try [data-form]");
    if (!form) return;
    event.preventDefault();
    form.querySelector("[data-send]")?.click();
  });

  // A field gets a new name once what it held is kept, so only what is not kept yet is put back. The page may exchange a field
  // or merely rename it; a renamed one begins anew.
  const restore = () => {
    document.querySelectorAll("#tf-try [data-typed]").forEach((field) => {
      if (field.named === field.id) return;
      field.named = field.id;
      field.value = typed.get(field.id) ?? field.defaultValue;
    });
    if (!last || last.isConnected || document.activeElement !== document.body) return;
    const again = document.getElementById(last.id);
    if (!again) return;
    const [start, end] = [last.selectionStart, last.selectionEnd];
    again.focus({ preventScroll: true });
    if (start !== undefined && start !== null) again.setSelectionRange?.(start, end);
  };
  new MutationObserver(restore).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["id"] });
  restore();
})();
