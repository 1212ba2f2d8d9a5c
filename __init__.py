"""Agents that look twice before they call a tool."""
