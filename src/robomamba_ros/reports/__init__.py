"""What runs did, as HTML pages and JSON."""
