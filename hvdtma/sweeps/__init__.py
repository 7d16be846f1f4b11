"""Sweeps: many runs of one config with other values of some keys, and the best of them.

space.py     key=a,b and key=low..high     search.py    grid, random, TPE: the values of a trial
trial.py     one trial and its result      folder.py    the folder of a sweep, which can resume
sweep.py     the record of a sweep         run.py       runs the trials
process.py   a trial as a process          array.py     trials as jobs of a cluster
table.py     the results as a table
"""
