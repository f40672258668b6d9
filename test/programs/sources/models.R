set.seed(7)
data <- data.frame(x = rnorm(1e5), y = rnorm(1e5))
digest <- sum(data$x * seq_along(data$x))
fits <- 0
repeat {
  set.seed(fits)
  rows <- sample(nrow(data), 2e4)
  drawn <- runif(1)
  model <- lm(y ~ x, data = data[rows, ])
  fits <- fits + 1
  set.seed(fits - 1)
  same <- identical(sample(nrow(data), 2e4), rows) && identical(runif(1), drawn)
  writeLines(c(paste("fits", fits), paste("data", format(digest, digits = 15)), paste("reproducible", same)), "/work/.state")
  invisible(file.rename("/work/.state", "/work/state"))
}
