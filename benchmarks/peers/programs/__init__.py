"""Small programs that peers run: their environments have neither jobrunner nor what it needs."""
