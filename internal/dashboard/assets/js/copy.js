// <button data-copy="id"> copies the text of an element.
document.addEventListener("click", async (event) => {
	const button = event.target.closest("[data-copy]");
	if (!button) return;
	const source = document.getElementById(button.dataset.copy);
	const label = button.querySelector(".label");
	try {
		await navigator.clipboard.writeText(source.textContent.trim());
	} catch {
		getSelection().selectAllChildren(source); // the person's own copy key does the rest
		announce("Selected; copy it with your keyboard");
		return;
	}
	const before = label.dataset.was ?? label.textContent;
	label.dataset.was = before;
	label.textContent = "Copied";
	announce("Copied");
	document.dispatchEvent(new CustomEvent("kept", { detail: button.dataset.copy }));
	setTimeout(() => { label.textContent = before; }, 2000);
});
