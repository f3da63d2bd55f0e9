"""What tasks whose models read captions share. It is no task."""
