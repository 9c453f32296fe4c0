// npm start, npm run example <name> [-- arguments]: installs what one example needs and runs it on the sources, on nothing but Node and npm.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { pnpm, run, steps } from './pnpm.js'

const root = new URL('../', import.meta.url)
const [name = '', ...given] = process.argv.slice(2)
const args = given.filter(argument => argument !== '--')
const names = readdirSync(new URL('examples/', root)).filter(folder => existsSync(new URL(`examples/${folder}/package.json`, root)))
if (!names.includes(name)) {
  console.error(`npm run example <${names.join('|')}>`)
  process.exit(2)
}

const folder = new URL(`examples/${name}/`, root)
const manifest = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8'))

/** True where the whole workspace is installed: an install of less would remove the rest. */
const isWhole = () => {
  try {
    return JSON.parse(readFileSync(new URL('node_modules/.modules.yaml', root), 'utf8')).included.devDependencies
  } catch {
    return false
  }
}

const install = () => {
  console.log(`Installing what examples/${name} needs ...`)
  const part = isWhole() || manifest.devDependencies !== undefined ? [] : ['--prod', '--filter', `${manifest.name}...`]
  return pnpm(['install', '--frozen-lockfile', '--prefer-offline', '--reporter=append-only', '--loglevel=warn', ...part])
}

const start = () => {
  console.log(`Starting examples/${name} ...`)
  const [, ...command] = manifest.scripts.start.split(' ')
  // The sources need no build.
  return run(process.execPath, ['--conditions=@iopa/source', '--import', 'tsx', ...command, ...args], {}, folder)
}

await steps([install, start])
