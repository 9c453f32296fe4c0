// pnpm build [folder of a package ...]: writes dist of every package, or of those that are named. Run in a package's folder, it builds that one.
// The compiler writes the declarations of all sources at once, without checking them; rollup bundles them, and the modules, entry by entry.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rollup } from 'rollup'
import { bundlesOf } from '../rollup.config.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const here = process.cwd()
const named = process.argv.slice(2).map(name => basename(name))
const own = dirname(here) === join(root, 'packages') ? [basename(here)] : []
const folders = named.length > 0 ? named : own.length > 0 ? own : readdirSync(join(root, 'packages'))

/** Declarations of the sources, in a folder of the same layout. */
const declare = () => {
  // Within the repository, for the compiler looks for packages from there.
  const folder = mkdtempSync(join(root, 'node_modules', '.iopa-types-'))
  const config = join(folder, 'tsconfig.json')
  const compilerOptions = { noEmit: false, emitDeclarationOnly: true, noCheck: true, rootDir: root, outDir: folder }
  const include = folders.map(name => join(root, 'packages', name, 'src'))
  writeFileSync(config, JSON.stringify({ extends: join(root, 'tsconfig.base.json'), compilerOptions, include }))
  const { status } = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', config], { stdio: 'inherit', cwd: root })
  return { folder, status }
}

const build = async (name, types) => {
  const folder = join(root, 'packages', name)
  rmSync(join(folder, 'dist'), { recursive: true, force: true })
  for (const { output, ...input } of bundlesOf(folder, join(types, 'packages', name))) {
    const bundle = await rollup({
      ...input,
      onLog: (level, log) => {
        if (level === 'warn') console.warn(`${name}: ${log.message}`)
      }
    })
    await bundle.write(output)
    await bundle.close()
  }
}

const { folder: types, status } = declare()
try {
  if (status === 0) await Promise.all(folders.map(name => build(name, types)))
} finally {
  rmSync(types, { recursive: true, force: true })
}
console.log(status === 0 ? `built ${folders.join(', ')}` : 'the declarations could not be written')
process.exit(status ?? 1)
