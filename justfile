# What the build server runs
check:
    .ci/run

# All tests
test:
    cargo test

# Benchmarks; figures that count are ratios on one machine
bench:
    cargo bench

# A simulated fleet under attack, judged live for a minute
demo:
    cargo run --profile demo -- demo --for 60s

# Golden scenarios written anew, after a change that was meant to change alerts
expect:
    UPDATE_EXPECT=1 cargo test --test it scenarios

# Licences and advisories of all dependencies (needs cargo-deny)
deny:
    cargo deny check
