// The one build: run in a package's folder, it reads that package.json and writes dist/index.js and dist/index.d.ts.
import { existsSync, readFileSync } from 'node:fs'
import { dts } from 'rollup-plugin-dts'
import esbuild from 'rollup-plugin-esbuild'

const manifest = JSON.parse(readFileSync('./package.json', 'utf8'))
const names = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })
const external = id => id.startsWith('node:') || id.startsWith('@iopa/') || names.some(name => id === name || id.startsWith(`${name}/`))

const input = Object.fromEntries(
  Object.values(manifest.exports)
    .map(entry => entry['@iopa/source'])
    .filter(source => source && existsSync(source))
    .map(source => [source.replace(/^\.\/src\/|\.ts$/g, ''), source])
)

export default [
  {
    input,
    external,
    plugins: [esbuild({ target: 'node20', tsconfig: false })],
    output: { dir: 'dist', format: 'es', sourcemap: true, chunkFileNames: '[name].js' }
  },
  {
    input,
    external,
    plugins: [dts()],
    output: {
      dir: 'dist',
      format: 'es',
      chunkFileNames: '[name].d.ts',
      // Scopes are disposable; an app that names its own libs, or has no types of node, has no Symbol.asyncDispose otherwise.
      banner: '/// <reference lib="esnext.disposable" />'
    }
  }
]
