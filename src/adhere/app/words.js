let last = null;
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-word]");
  if (!button) return;
  last = button.dataset.word;
  trigger("click", { word: Number(last) });
});
watch("value", () => {
  const again = last && element.querySelector(`button[data-word="${last}"]`);
  if (again) again.focus();
  last = null;
});
