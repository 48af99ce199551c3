"""Telling the world: JSON lines, tables for a terminal, MQTT."""
