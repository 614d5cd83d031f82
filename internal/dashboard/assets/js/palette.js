// Ctrl or ⌘ and K opens a dialog that goes to any place by name. Its list is
// a fragment of the page /search, which works without a script.
const palette = document.querySelector("#palette");

function openPalette() {
	if (!palette || palette.open) return;
	palette.showModal();
	palette.querySelector("[type=search]").select();
	if (!palette.querySelector(".results a")) palette.querySelector("form").requestSubmit();
}

function walk(step) {
	const links = [...palette.querySelectorAll(".results a")];
	if (!links.length) return;
	const at = links.findIndex((link) => link.classList.contains("active"));
	links[at]?.classList.remove("active");
	const next = links[(at + step + links.length) % links.length];
	next.classList.add("active");
	next.scrollIntoView({ block: "nearest" });
	announce(next.textContent);
}

addEventListener("keydown", (event) => {
	if ((event.ctrlKey || event.metaKey) && event.key === "k" && palette && parses) {
		event.preventDefault();
		openPalette();
	} else if (palette?.open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
		event.preventDefault();
		walk(event.key === "ArrowDown" ? 1 : -1);
	} else if (palette?.open && event.key === "Enter" && event.target.matches("input")) {
		const link = palette.querySelector(".results a.active") ?? palette.querySelector(".results a");
		const of = palette.querySelector("[data-for]")?.dataset.for; // of an earlier text: Enter looks for this one
		if (link && of === event.target.value.trim()) { event.preventDefault(); link.click(); }
	}
});

document.addEventListener("click", (event) => {
	if (!event.target.closest("[data-palette]") || !palette || !parses) return;
	event.preventDefault();
	openPalette();
});
