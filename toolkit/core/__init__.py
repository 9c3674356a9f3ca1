"""Pure and synchronous: types, parameters, indicators, strategy, execution, engine."""
