// data-live names a stream of server-sent events: each says that there is
// something new, and the part is fetched again. Lost streams come back by
// themselves; without a script the part has a link that looks again.
for (const part of document.querySelectorAll("[data-live]")) {
	if (!parses || !window.EventSource) break;
	let waiting = false, again = false;
	const refresh = async () => {
		if (waiting) { again = true; return; }
		waiting = true;
		const before = part.querySelector("[data-said]")?.textContent;
		try {
			await fragment(part.dataset.from || location.href, part.id);
			const said = part.querySelector("[data-said]")?.textContent;
			if (said && said !== before) announce(said);
		} catch {} // the stream tells when the server is back
		waiting = false;
		if (again) { again = false; refresh(); }
	};
	const stream = new EventSource(part.dataset.live);
	stream.addEventListener("message", refresh);
	stream.addEventListener("done", () => stream.close());
	addEventListener("pagehide", () => stream.close());
}
