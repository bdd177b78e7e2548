"""The console: pages in the browser, served by every node from its own files. They know only what REST tells them."""
