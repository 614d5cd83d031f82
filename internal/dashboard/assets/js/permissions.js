// The tick list: search by words, tick all of a product, and a bar that
// counts what is not applied yet.
const picker = document.querySelector("[data-picker]");
if (picker) {
	const boxes = [...picker.querySelectorAll("input[type=checkbox][name=permission]")];
	const count = () => {
		const added = boxes.filter((box) => box.checked && !box.defaultChecked).length;
		const removed = boxes.filter((box) => !box.checked && box.defaultChecked).length;
		const parts = [];
		if (added) parts.push(`${added} added`);
		if (removed) parts.push(`${removed} removed`);
		const bar = document.querySelector("[data-count]");
		if (bar) bar.textContent = parts.join(", ") || bar.dataset.count;
	};
	picker.addEventListener("change", count);
	picker.addEventListener("reset", () => setTimeout(count));
	picker.addEventListener("click", (event) => {
		const button = event.target.closest("[data-all]");
		if (!button) return;
		const own = [...button.closest(".tree").querySelectorAll("input[name=permission]:not(:disabled)")].filter((box) => !box.closest("li").hidden);
		const check = own.some((box) => !box.checked);
		for (const box of own) box.checked = check;
		count();
	});
	document.querySelector("[data-find]")?.addEventListener("input", (event) => {
		const words = event.target.value.toLowerCase().split(/\s+/);
		for (const tree of picker.querySelectorAll(".tree")) {
			let left = 0;
			for (const row of tree.querySelectorAll("[data-words]")) {
				row.hidden = !words.every((word) => row.dataset.words.toLowerCase().includes(word));
				if (!row.hidden) left++;
			}
			tree.hidden = left === 0;
			if (event.target.value && left && tree.matches("details")) tree.open = true;
		}
	});
	addEventListener("pageshow", count);
	count();
}
