"""Reports: pages, plots and tables of runs."""
