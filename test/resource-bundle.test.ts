// A declaration and its typed client belong in a browser: nothing of a server comes along.
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { expect, test } from 'vitest'

const bundled = async (source: string) => {
  const { outputFiles, metafile } = await build({
    stdin: { contents: source, resolveDir: join(import.meta.dirname, '..'), loader: 'ts' },
    bundle: true,
    write: false,
    minify: true,
    metafile: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2023',
    conditions: ['@iopa/source']
  })
  const inputs = Object.entries(Object.values(metafile.outputs)[0]?.inputs ?? {}).filter(([, { bytesInOutput }]) => bytesInOutput > 0)
  return { files: inputs.map(([path]) => path), size: gzipSync(outputFiles[0]?.contents ?? '').length }
}

const isServer = (path: string): boolean => /appbuilder|rfc6902|router|patch\/|served-|\/resources\.ts$/.test(path)

test('a declaration is small, and has nothing of a server', async () => {
  const { files, size } = await bundled(`
    import { collection, resource } from '@iopa/resource'
    export const light = resource('/lights/{id}', { methods: { get: {} } })
    export const lights = collection(light, '/lights')
  `)
  expect(files.filter(isServer)).toEqual([])
  expect(size).toBeLessThan(8 * 1024)
})

test('the typed client has nothing of a server', async () => {
  const { files, size } = await bundled(`
    import { at, resource } from '@iopa/resource'
    export const hall = client => at(client, resource('/lights/{id}', { methods: { get: {}, put: {} } }), { id: 'hall' })
  `)
  expect(files.filter(isServer)).toEqual([])
  expect(size).toBeLessThan(10 * 1024)
})
