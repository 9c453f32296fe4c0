// A photo of each bed, in memory.
import { buffer } from 'node:stream/consumers'
import { IopaError } from '@iopa/appbuilder'
import type { FormReader, IncomingFile } from '@iopa/forms'

interface Photo {
  readonly type: string
  readonly bytes: Uint8Array
}

/** Of a form: one file, whose size is well below what the app accepts of a body. */
export const LIMITS = { files: 1, fileSize: 512 * 1024 }

/** The first bytes of a file, in hexadecimal: what the client says of its type does not count. */
const SIGNATURES = new Map([
  ['89504e470d0a1a0a', 'image/png'],
  ['ffd8ff', 'image/jpeg']
])

/** Takes a file of a form where it is a photo. */
export const readPhoto = async ({ stream }: IncomingFile): Promise<Photo> => {
  const bytes = await buffer(stream)
  const [, type] = [...SIGNATURES].find(([signature]) => bytes.subarray(0, signature.length / 2).toString('hex') === signature) ?? []
  if (type === undefined) throw new IopaError(415, 'not-a-photo', 'Send a photo as PNG or JPEG.')
  return { type, bytes }
}

export class Photos {
  readonly #photos = new Map<string, Photo & { readonly count: number }>()

  /** How many photos each bed has had; without those that had none. */
  counts(): Record<string, number> {
    return Object.fromEntries([...this.#photos].map(([id, { count }]) => [id, count]))
  }

  get(id: string): Photo {
    const photo = this.#photos.get(id)
    if (photo === undefined) throw new IopaError(404, 'no-photo', `There is no photo of the bed ${id}.`)
    return photo
  }

  async set(id: string, form: FormReader): Promise<void> {
    const [file] = (await form.read()).files
    if (file === undefined) throw new IopaError(422, 'no-photo', 'Send a form with a file.')
    this.#photos.set(id, { ...(file.value as Photo), count: (this.#photos.get(id)?.count ?? 0) + 1 })
  }
}
