"""The desktop trainer: data -> model -> threshold -> evaluation."""
