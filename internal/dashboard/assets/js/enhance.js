// Lists change in place: a GET form or a link whose data-into names a part of
// the page fetches just that part. Where the browser cannot parse markup safely,
// nothing is prevented and the page is loaded as always.
const parses = typeof Document.parseHTML === "function";
const announcer = document.querySelector("#announcer");

function announce(text) {
	announcer.textContent = "";
	setTimeout(() => { announcer.textContent = text; }, 50);
}

// fragment fetches a part of the page at url; false when the page has to be
// loaded as a whole: another page answered, or none.
async function fragment(url, id, signal) {
	const answer = await fetch(url, { headers: { "X-Fragment": id }, signal });
	if (!answer.ok || answer.redirected || answer.headers.get("X-Fragment") !== id) return false;
	const parsed = Document.parseHTML(await answer.text(), { sanitizer: {} });
	const part = parsed.getElementById(id), old = document.getElementById(id);
	if (!part || !old) return false;
	old.replaceChildren(...part.childNodes);
	return true;
}

let running;
async function show(url, id, remember) {
	running?.abort();
	running = new AbortController();
	try {
		if (!await fragment(url, id, running.signal)) { location.assign(url); return; }
	} catch (error) {
		if (error.name !== "AbortError") location.assign(url);
		return;
	}
	if (remember) history.replaceState(null, "", url);
	announce(document.getElementById(id).querySelector("[data-said]")?.textContent ?? "");
}

function address(form) {
	const url = new URL(form.action);
	url.search = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
	return url;
}

let typed;
document.addEventListener("input", (event) => {
	const form = event.target.form;
	if (!parses || !form?.dataset.into || form.method !== "get") return;
	clearTimeout(typed);
	typed = setTimeout(() => show(address(form), form.dataset.into, !form.closest("dialog")), 150);
});

document.addEventListener("submit", (event) => {
	const form = event.target;
	if (form.method === "get" && form.dataset.into && parses) {
		event.preventDefault();
		clearTimeout(typed);
		show(address(form), form.dataset.into, !form.closest("dialog"));
		return;
	}
	if (form.method !== "post") return;
	if (form.dataset.sent) { event.preventDefault(); return; } // a second click sends nothing
	if (!form.hasAttribute("data-again")) form.dataset.sent = "1";
	event.submitter?.setAttribute("aria-disabled", "true");
	setTimeout(() => { delete form.dataset.sent; event.submitter?.removeAttribute("aria-disabled"); }, 5000);
});

document.addEventListener("click", (event) => {
	const link = event.target.closest("a[data-into]");
	if (!link || !parses || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
	event.preventDefault();
	show(link.href, link.dataset.into, true);
});

// The way back to a page from the browser's memory sends forms anew.
addEventListener("pageshow", () => {
	for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
	for (const button of document.querySelectorAll("button[aria-disabled]")) button.removeAttribute("aria-disabled");
});

for (const part of document.querySelectorAll("[data-script]")) part.hidden = false;
for (const tab of document.querySelectorAll(".tabs [aria-current]")) tab.parentElement.scrollLeft = tab.offsetLeft - tab.parentElement.offsetLeft - 16;
document.querySelector("[data-focus]")?.focus();
