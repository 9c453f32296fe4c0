// The bundles of one package: dist/NAME.js and dist/NAME.d.ts for each entry of its package.json. scripts/build.js runs them.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { dts } from 'rollup-plugin-dts'
import esbuild from 'rollup-plugin-esbuild'

/** The declarations below a folder that add to an interface of another package: the keys of this one. */
const additionsIn = folder =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    name => name.endsWith('.d.ts') && /^declare module '@iopa\//m.test(readFileSync(join(folder, name), 'utf8'))
  )

/**
 * Finds the declarations of a module that is imported by the name of its source. The first entry also imports what adds to interfaces:
 * the compiler leaves an import out of the declarations when only values come from it, and the keys would be lost.
 */
const declarations = folder => ({
  name: 'declarations',
  resolveId: (id, importer) => (id.startsWith('.') && importer !== undefined ? resolve(dirname(importer), id.replace(/\.ts$/, '.d.ts')) : null),
  load(id) {
    if (id !== join(folder, 'index.d.ts')) return null
    return [readFileSync(id, 'utf8'), ...additionsIn(folder).map(name => `import './${name.replace(/\.d\.ts$/, '.ts')}'`)].join('\n')
  }
})

/** What rollup makes of the package in `folder`, whose sources have their declarations in `types`. */
export const bundlesOf = (folder, types) => {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const names = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })
  const external = id => id.startsWith('node:') || id.startsWith('@iopa/') || names.some(name => id === name || id.startsWith(`${name}/`))
  const sources = Object.values(manifest.exports)
    .map(entry => entry['@iopa/source'])
    .filter(source => source && existsSync(join(folder, source)))
    .map(source => source.replace(/^\.\/src\/|\.ts$/g, ''))
  const dir = join(folder, 'dist')
  return [
    {
      input: Object.fromEntries(sources.map(name => [name, join(folder, 'src', `${name}.ts`)])),
      external,
      plugins: [esbuild({ target: 'node20', tsconfig: false })],
      output: { dir, format: 'es', sourcemap: true, chunkFileNames: '[name].js' }
    },
    {
      input: Object.fromEntries(sources.map(name => [name, join(types, 'src', `${name}.d.ts`)])),
      external,
      plugins: [declarations(join(types, 'src')), dts()],
      output: {
        dir,
        format: 'es',
        // A part has the name of its source, which ends with `.d` here.
        chunkFileNames: ({ name }) => `${name.replace(/\.d$/, '')}.d.ts`,
        entryFileNames: '[name].d.ts',
        // Scopes are disposable; an app that names its own libs, or has no types of node, has no Symbol.asyncDispose otherwise.
        banner: '/// <reference lib="esnext.disposable" />'
      }
    }
  ]
}
