"""What is measured: latency, rates, who is connected, and alerts when it is too late."""
