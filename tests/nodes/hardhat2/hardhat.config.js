module.exports = { networks: { hardhat: { chainId: 31337, hardfork: 'cancun' } } }
