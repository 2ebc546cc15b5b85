"""A real Apache Kafka, for the demo of an outage and for tests."""
