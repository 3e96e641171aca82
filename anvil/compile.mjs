// Compiles contracts/ into abi/<Name>.json with the pinned compiler; `--check` only says whether abi/ is up to date.
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import solc from 'solc'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const contractsDir = join(root, 'contracts')
const abiDir = join(root, 'abi')

const sources = Object.fromEntries(
  readdirSync(contractsDir)
    .filter(file => file.endsWith('.sol'))
    .sort()
    .map(file => [file, { content: readFileSync(join(contractsDir, file), 'utf8') }])
)

// Nodes of any chain run the validator's code in a call, so it must do without what newer EVMs have added; so must the
// wallets that it is tried with. The rest is deployed on the local chain alone.
const oldestEvm = { 'SignatureValidator.sol': 'london', 'TestWallets.sol': 'london' }
const localEvm = 'cancun'

// Everything that could differ between machines or compiler defaults is pinned, so that the bytecode is too.
const compile = evmVersion =>
  JSON.parse(
    solc.compile(
      JSON.stringify({
        language: 'Solidity',
        sources: Object.fromEntries(
          Object.entries(sources).filter(([file]) => (oldestEvm[file] ?? localEvm) === evmVersion)
        ),
        settings: {
          evmVersion,
          optimizer: { enabled: true, runs: 200 },
          metadata: { appendCBOR: false, bytecodeHash: 'none' },
          outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object'] } }
        }
      })
    )
  )
const outputs = [...new Set([localEvm, ...Object.values(oldestEvm)])].map(compile)

const problems = outputs.flatMap(output => output.errors ?? [])
for (const problem of problems) console.error(problem.formattedMessage)
if (problems.length > 0) process.exit(1)

const wanted = new Map()
for (const contracts of outputs.flatMap(output => Object.values(output.contracts))) {
  for (const [contractName, { abi, evm }] of Object.entries(contracts)) {
    // Interfaces have no code: they only tie our contracts together.
    if (evm.bytecode.object === '') continue
    const artifact = {
      contractName,
      abi,
      bytecode: `0x${evm.bytecode.object}`,
      deployedBytecode: `0x${evm.deployedBytecode.object}`
    }
    wanted.set(`${contractName}.json`, `${JSON.stringify(artifact, null, 2)}\n`)
  }
}

const present = new Map(
  readdirSync(abiDir)
    .filter(file => file.endsWith('.json'))
    .map(file => [file, readFileSync(join(abiDir, file), 'utf8')])
)
const drifted = [...new Set([...wanted.keys(), ...present.keys()])]
  .filter(file => wanted.get(file) !== present.get(file))
  .sort()

if (process.argv.includes('--check')) {
  for (const file of drifted) console.error(`abi/${file} does not match contracts/: run \`make abi\` and commit the result`)
  process.exit(drifted.length > 0 ? 1 : 0)
}
for (const file of drifted) {
  if (wanted.has(file)) writeFileSync(join(abiDir, file), wanted.get(file))
  else rmSync(join(abiDir, file))
  console.log(`abi/${file}`)
}
