"""The edge: Envoy's configuration and the OpenAPI document, generated from the contract and the manifests."""
