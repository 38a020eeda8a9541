"""Live conversion for the page: sound from the browser's microphone, converted in a process of its own."""
