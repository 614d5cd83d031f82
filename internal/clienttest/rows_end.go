package clienttest

func endRows() []Row {
	return []Row{
		{Name: "end", Says: "the process ends with its input: no timer or thread of the library keeps it", check: end},
	}
}

func end(t *trial) {
	t.open("a")
	t.token("a")
	if t.err != nil {
		return
	}
	if err := t.client.stop(); err != nil {
		t.failf("%w", err)
	}
	t.client = nil
}
