export default { networks: { node: { type: 'edr-simulated', chainId: 31337 } } }
