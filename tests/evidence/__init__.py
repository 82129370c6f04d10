"""What decision 9 says of the SDK's transports, to be seen with the SDK that is installed."""
