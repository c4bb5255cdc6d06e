"""What bench/run is made of: networks, files for other runtimes, workers, parts, and the report."""
