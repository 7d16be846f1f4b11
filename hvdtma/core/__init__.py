"""The foundation of every other package: errors, files, config, memory, threads, signals."""
