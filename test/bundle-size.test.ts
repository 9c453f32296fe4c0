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

interface Bundle {
  readonly bytes: number
  /** The sources that are loaded at the start, below packages/. */
  readonly files: readonly string[]
  /** Minified bytes of the largest folders. */
  readonly folders: string
}

/** `splitting`: what is imported later, such as the client, is a file of its own and does not count. Without it everything is one file. */
const bundled = async (names: Record<string, string>, { splitting = true, left = [] as readonly string[] } = {}): Promise<Bundle> => {
  const contents = Object.entries(names)
    .map(([folder, list]) => `export { ${list} } from ${JSON.stringify(`${packages}${folder}/src/index.ts`)}`)
    .join('\n')
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: packages, loader: 'ts' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    minify: true,
    splitting,
    outdir: 'out',
    write: false,
    metafile: true,
    conditions: ['@iopa/source'],
    plugins: [without(left)],
    logLevel: 'silent'
  })
  const sizes = new Map<string, number>()
  const first = atStart(metafile.outputs)
  for (const output of first) {
    for (const [file, { bytesInOutput }] of Object.entries(metafile.outputs[output]?.inputs ?? {})) {
      if (bytesInOutput > 0) sizes.set(file.replace(/^.*packages\//, ''), bytesInOutput)
    }
  }
  const folders = new Map<string, number>()
  for (const [file, bytes] of sizes) {
    const folder = file.replace(/\/[^/]*$/, '')
    folders.set(folder, (folders.get(folder) ?? 0) + bytes)
  }
  const largest = [...folders].sort(([, one], [, other]) => other - one).slice(0, 12)
  return {
    bytes: outputFiles
      .filter(({ path }) => first.some(output => path.endsWith(output)))
      .reduce((sum, { contents: bytes }) => sum + gzipSync(bytes, { level: 9 }).length, 0),
    files: [...sizes.keys()],
    folders: largest.map(([folder, bytes]) => `${folder} ${bytes}`).join(', ')
  }
}

const CORE = { appbuilder: 'App, reply, IopaError' }

interface Budget {
  readonly title: string
  readonly names: Record<string, string>
  /** KiB at the start, at most. Lower it with the code; what raises it needs a reason (docs/decisions/0018-size-of-a-bundle.md). */
  readonly most: number
  /** KiB in one file, at most, with what is loaded later. */
  readonly whole: number
  readonly target: number
  /** Sources that are loaded when they are first needed. */
  readonly later: readonly string[]
}

const BUNDLES: readonly Budget[] = [
  {
    title: 'App, reply, IopaError',
    names: CORE,
    most: 50.7,
    whole: 55.8,
    target: 18,
    later: ['transport/src/client/engine.ts', 'transport/src/client/peer-client.ts', 'appbuilder/src/preconditions/conditional-changes.ts']
  },
  {
    title: 'App, reply, IopaError, router, http',
    names: { ...CORE, router: 'router', 'iopa-http': 'http' },
    most: 89.6,
    whole: 105.4,
    target: 38,
    later: [
      'transport/src/client/engine.ts',
      'transport/src/node/secured-sockets.ts',
      'transport/src/node/proxied-sockets.ts',
      'iopa-http/src/client/link.ts',
      'iopa-http/src/http2/engine.ts'
    ]
  }
]

describe('the size of a bundle', () => {
  test.each(BUNDLES)('$title: at most $most KiB at the start (target: $target)', async ({ names, most, later }) => {
    const { bytes, folders, files } = await bundled(names)
    expect(bytes / KIB, `minified bytes by folder: ${folders}`).toBeLessThanOrEqual(most)
    // Someone imports it statically.
    expect(later.filter(file => files.includes(file))).toEqual([])
  })

  test.each(BUNDLES)('$title: at most $whole KiB in one file', async ({ names, whole }) => {
    const { bytes, folders } = await bundled(names, { splitting: false })
    expect(bytes / KIB, `minified bytes by folder: ${folders}`).toBeLessThanOrEqual(whole)
  })

  test('observation: at most 6.9 KiB of the core', async () => {
    const [core, rest] = await Promise.all([bundled(CORE), bundled(CORE, { left: ['appbuilder/src/observation'] })])
    const cost = (core.bytes - rest.bytes) / KIB
    expect(cost).toBeGreaterThan(0)
    expect(cost).toBeLessThanOrEqual(6.9)
  })
})
