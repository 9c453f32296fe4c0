// What an app costs where bytes count: minified by esbuild, compressed by gzip -9, in KiB of 1,024 bytes.
import { gzipSync } from 'node:zlib'
import { build, type Metafile, type Plugin } from 'esbuild'
import { describe, expect, test } from 'vitest'

const packages = new URL('../packages/', import.meta.url).pathname
const KIB = 1024

/** Leaves out the sources below some folders: their cost is what the bundle loses, with all that only they use. */
const without = (folders: readonly string[]): Plugin => ({
  name: 'without',
  setup({ onLoad }) {
    if (folders.length === 0) return
    const filter = new RegExp(`/packages/(${folders.join('|')})/.*\\.ts$`)
    onLoad({ filter }, () => ({ contents: 'module.exports = {}', loader: 'js' }))
  }
})

/** The files that are loaded at the start: the entry, and what it imports statically. */
const atStart = (outputs: Metafile['outputs']): string[] => {
  const found = new Set(Object.keys(outputs).filter(name => outputs[name]?.entryPoint === '<stdin>'))
  // A set that grows is walked to its new end.
  for (const name of found) {
    for (const { path, kind } of outputs[name]?.imports ?? []) if (kind === 'import-statement' && path in outputs) found.add(path)
  }
  return [...found]
}

const bundled = async (names: Record<string, string>, left: readonly string[] = []): Promise<{ bytes: number; folders: string }> => {
  const contents = Object.entries(names)
    .map(([folder, list]) => `export { ${list} } from ${JSON.stringify(`${packages}${folder}/src/index.ts`)}`)
    .join('\n')
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: packages, loader: 'ts' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    minify: true,
    // What is imported later, such as HTTP/2, is a file of its own and does not count.
    splitting: true,
    outdir: 'out',
    write: false,
    metafile: true,
    conditions: ['@iopa/source'],
    plugins: [without(left)],
    logLevel: 'silent'
  })
  const folders = new Map<string, number>()
  const first = atStart(metafile.outputs)
  for (const output of first) {
    for (const [file, { bytesInOutput }] of Object.entries(metafile.outputs[output]?.inputs ?? {})) {
      const folder = file.replace(/^.*packages\/|\/[^/]*$/g, '')
      folders.set(folder, (folders.get(folder) ?? 0) + bytesInOutput)
    }
  }
  const largest = [...folders].sort(([, one], [, other]) => other - one).slice(0, 12)
  return {
    bytes: outputFiles
      .filter(({ path }) => first.some(output => path.endsWith(output)))
      .reduce((sum, { contents: bytes }) => sum + gzipSync(bytes, { level: 9 }).length, 0),
    folders: largest.map(([folder, bytes]) => `${folder} ${bytes}`).join(', ')
  }
}

const CORE = { appbuilder: 'App, reply, IopaError' }

/** KiB at most today, and what the bundle should come to. Lower `most` with the code; what raises it needs a reason. */
const BUNDLES: readonly { readonly title: string; readonly names: Record<string, string>; readonly most: number; readonly target: number }[] = [
  { title: 'App, reply, IopaError', names: CORE, most: 55, target: 18 },
  { title: 'App, reply, IopaError, router, http', names: { ...CORE, router: 'router', 'iopa-http': 'http' }, most: 98.4, target: 38 }
]

/** What parts of the core cost within `App, reply, IopaError`. */
const PARTS: readonly { readonly title: string; readonly folders: readonly string[]; readonly most: number }[] = [
  { title: 'the client', folders: ['transport/src/client'], most: 6.2 },
  { title: 'observation', folders: ['appbuilder/src/observation'], most: 6.7 }
]

describe('the size of a bundle', () => {
  test.each(BUNDLES)('$title: at most $most KiB (target: $target)', async ({ names, most }) => {
    const { bytes, folders } = await bundled(names)
    expect(bytes / KIB, `minified bytes by folder: ${folders}`).toBeLessThanOrEqual(most)
  })

  test.each(PARTS)('$title: at most $most KiB of it', async ({ folders, most }) => {
    const [whole, rest] = await Promise.all([bundled(CORE), bundled(CORE, folders)])
    const cost = (whole.bytes - rest.bytes) / KIB
    expect(cost).toBeGreaterThan(0)
    expect(cost).toBeLessThanOrEqual(most)
  })
})
