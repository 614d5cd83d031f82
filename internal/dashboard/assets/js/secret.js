// A secret is shown once: until it was copied or downloaded, leaving asks
// first. What comes back from the browser's memory does not show it again.
const box = document.querySelector("[data-once]");
if (box) {
	let kept = false;
	addEventListener("beforeunload", (event) => { if (!kept) event.preventDefault(); });
	document.addEventListener("kept", (event) => { if (box.contains(document.getElementById(event.detail))) kept = true; });
	document.addEventListener("submit", (event) => { if (event.target.matches("[data-keeps]")) kept = true; });
	document.addEventListener("copy", () => { if (box.contains(getSelection().anchorNode)) kept = true; });
	addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}
