"""What can be watched: a week of transactions scored, and an outage that is caught up with."""
