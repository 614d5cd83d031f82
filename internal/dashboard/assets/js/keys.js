// Single keys, which a person can switch off (WCAG 2.1.4): / filters, ? lists
// the keys, g and a letter goes to an entry of the navigation.
if (document.documentElement.dataset.keys !== "off") {
	let leader = -Infinity;
	addEventListener("keydown", (event) => {
		if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.target.closest("input, textarea, select, dialog")) return;
		const going = event.timeStamp - leader < 1500;
		leader = -Infinity;
		if (going) {
			const link = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
			if (link) { event.preventDefault(); link.click(); }
		} else if (event.key === "g") {
			leader = event.timeStamp;
		} else if (event.key === "/") {
			const filter = document.querySelector("input[type=search]:not(dialog *)");
			if (filter) { event.preventDefault(); filter.focus(); }
		} else if (event.key === "?") {
			document.querySelector("#keys")?.showModal();
		}
	});
}
