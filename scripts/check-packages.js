// Packs every package as it would be published, and lets publint and arethetypeswrong look at the tarballs.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { pnpm } from './pnpm.js'

/** Packages are for import alone, and `require` of it: resolutions of older tools do not count. */
const RESOLUTIONS = ['node16-esm', 'bundler']

const faultsOf = async tarball => {
  const data = new Uint8Array(readFileSync(tarball))
  const { messages, pkg } = await publint({ pack: { tarball: data.buffer }, strict: true })
  const { problems = [] } = await checkPackage(createPackageFromTarballData(data))
  return [
    ...messages.map(message => formatMessage(message, pkg, { color: false })),
    ...problems
      .filter(({ resolutionKind }) => resolutionKind === undefined || RESOLUTIONS.includes(resolutionKind))
      .map(problem => JSON.stringify({ ...problem, trace: undefined }))
  ]
}

const folder = mkdtempSync(join(tmpdir(), 'iopa-packages-'))
let failed = 0
try {
  if ((await pnpm(['--reporter=silent', '-r', '--filter', './packages/*', 'pack', '--pack-destination', folder])) !== 0) failed++
  for (const name of readdirSync(folder)) {
    const faults = await faultsOf(join(folder, name))
    if (faults.length > 0) failed++
    console.log(faults.length === 0 ? `ok   ${name}` : `FAIL ${name}\n${faults.join('\n')}`)
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
process.exit(failed === 0 ? 0 : 1)
