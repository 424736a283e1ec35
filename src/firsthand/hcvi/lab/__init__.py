"""How the chapter is measured: settings, the one way to train and evaluate, claims, baselines, recorded runs."""
