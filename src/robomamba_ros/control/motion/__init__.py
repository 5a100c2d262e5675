"""From action chunks to setpoints within limits: paths, blending, limits, forecasts, handover."""
