"""Models, operators, batches, requests and trace readers: what is asked for, and no hardware."""
