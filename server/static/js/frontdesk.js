// Small comforts for every page; each page works without them.
