"""What every other package stands on: errors, files, config, memory, threads, signals."""
