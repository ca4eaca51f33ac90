"""WHICH FILES and WHAT THEY SAY, without running them here; a computed config is asked of a child.

walk.py      the files: a sorted walk that opens nothing
packages.py  installed packages that bring jobs
files.py     what a file says: read with care, then syntax.py, else a child (`jobrunner.probe`)
syntax.py    config and imports from the syntax tree, with function.py for what a run calls
signature.py and what that takes
servicesfile.py  whether services may look at params, too
naming.py    the name of a job whose file has no syntax tree
entries.py   a file's jobs and problems, with the settings applied, as JSON
catalog.py   all files: which entries the cache still vouches for, which are made anew
summary.py   what `ls` needs of each job
whole.py     whole jobs, as a node holds them: built from the cache
columns.py   rows of the cache as columns, in which what is equal is one object
cache.py     JSON files that may be lost or forged without harm
warming.py   the same in a child, for a process that must not wait
upcoming.py  the next due moments, remembered
"""
