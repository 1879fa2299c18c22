package oci

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"lethe/internal/registry"
	"lethe/internal/strictjson"
)

// Names of the CNCF ModelPack specification, and of KitOps' ModelKits, which
// are read only.
const (
	typeManifest = "application/vnd.cncf.model.manifest.v1+json"
	typeConfig   = "application/vnd.cncf.model.config.v1+json"
	typeWeights  = "application/vnd.cncf.model.weight.v1."
	typeModelKit = "application/vnd.kitops.modelkit."

	annotationFile = "org.cncf.model.filepath"
)

func isArchive(mediaType string) bool {
	return strings.HasSuffix(mediaType, ".tar") || strings.HasSuffix(mediaType, ".tar+gzip") || strings.HasSuffix(mediaType, ".tar+zstd")
}

// isWeights reports whether a layer may hold weights: by its type in a ModelPack
// or ModelKit, by its name elsewhere.
func isWeights(m ocispec.Manifest, l ocispec.Descriptor) bool {
	switch {
	case isModelPack(m):
		return strings.HasPrefix(l.MediaType, typeWeights)
	case strings.HasPrefix(m.Config.MediaType, typeModelKit), strings.HasPrefix(l.MediaType, typeModelKit):
		return strings.HasPrefix(l.MediaType, typeModelKit+"model")
	}
	return registry.IsCheckpoint(layerFile(l)) || registry.IsONNX(layerFile(l))
}

func isModelPack(m ocispec.Manifest) bool { return m.Config.MediaType == typeConfig }

// layerFile returns the path of the file that a layer holds, or "".
func layerFile(l ocispec.Descriptor) string {
	if name := l.Annotations[annotationFile]; name != "" {
		return name
	}
	return l.Annotations[ocispec.AnnotationTitle]
}

// weightsLayer describes a file as a layer. The title is for tools that know
// artifacts only, such as oras.
func weightsLayer(name string, d digest.Digest, size int64) ocispec.Descriptor {
	return ocispec.Descriptor{
		MediaType:   typeWeights + "raw",
		Digest:      d,
		Size:        size,
		Annotations: map[string]string{annotationFile: name, ocispec.AnnotationTitle: name},
	}
}

// pack is the content of a ModelPack in the making. What came in and is no
// weights stays: documents, code, the fields of the configuration.
type pack struct {
	config  map[string]json.RawMessage
	created string // of the base
	layers  []ocispec.Descriptor
	diffs   []digest.Digest // digests of the layers, uncompressed
	carried []ocispec.Descriptor
	left    []string
}

// newPack begins with what base has beside weights; base may be nil.
func newPack(ctx context.Context, base *storedModel) (*pack, error) {
	p := &pack{config: map[string]json.RawMessage{}}
	if base == nil {
		return p, nil
	}
	p.created = base.manifest.Annotations[ocispec.AnnotationCreated]
	var diffs []digest.Digest
	if isModelPack(base.manifest) {
		var err error
		if diffs, err = p.readConfig(ctx, base); err != nil {
			return nil, err
		}
	}
	for i, l := range base.manifest.Layers {
		switch {
		case l.Digest == base.layer.Digest:
		case len(diffs) == len(base.manifest.Layers) && !isWeights(base.manifest, l):
			p.layers, p.diffs = append(p.layers, l), append(p.diffs, diffs[i])
			p.carried = append(p.carried, l)
		default:
			name := layerFile(l)
			if name == "" {
				name = l.Digest.String()
			}
			p.left = append(p.left, name)
		}
	}
	return p, nil
}

// readConfig takes over the configuration of a ModelPack and returns the
// digests of its uncompressed layers.
func (p *pack) readConfig(ctx context.Context, base *storedModel) ([]digest.Digest, error) {
	desc := base.manifest.Config
	if desc.Size > registry.MaxDocument {
		return nil, registry.TooLarge("size of the configuration in bytes", desc.Size, registry.MaxDocument)
	}
	var b []byte
	err := base.repository.client.Try(ctx, func() error {
		r, err := base.repository.repo.Blobs().Fetch(ctx, desc)
		if err != nil {
			return err
		}
		defer r.Close()
		b, err = content.ReadAll(r, desc)
		return err
	})
	if err != nil {
		return nil, base.repository.explain("pull", err)
	}
	var known struct {
		Descriptor struct {
			CreatedAt string `json:"createdAt"`
		} `json:"descriptor"`
		ModelFS struct {
			DiffIDs []digest.Digest `json:"diffIds"`
		} `json:"modelfs"`
	}
	if err = strictjson.Decode(b, &known); err == nil {
		err = strictjson.Decode(b, &p.config)
	}
	if err != nil || p.config == nil {
		return nil, registry.Malformed("ModelPack configuration of "+base.repository.String(), err)
	}
	if p.created == "" {
		p.created = known.Descriptor.CreatedAt
	}
	return known.ModelFS.DiffIDs, nil
}

// add puts a file before what is carried over and after the files so far.
func (p *pack) add(l ocispec.Descriptor, diff digest.Digest) {
	at := len(p.layers) - len(p.carried)
	p.layers, p.diffs = slices.Insert(p.layers, at, l), slices.Insert(p.diffs, at, diff)
	p.left = slices.DeleteFunc(p.left, func(name string) bool { return name == layerFile(l) })
}

// createdOr returns created or else the time of the base.
func (p *pack) createdOr(created string) string {
	if created != "" {
		return created
	}
	return p.created
}

// encodeConfig writes the configuration of a ModelPack whose checkpoint has the
// extension ext.
func (p *pack) encodeConfig(created, ext string) []byte {
	object := func(key string, set map[string]any) {
		fields := map[string]json.RawMessage{}
		if json.Unmarshal(p.config[key], &fields) != nil || fields == nil {
			fields = map[string]json.RawMessage{}
		}
		for k, v := range set {
			if v != "" {
				fields[k], _ = json.Marshal(v) // of strings and of lists of them
			}
		}
		p.config[key], _ = json.Marshal(fields)
	}
	object("descriptor", map[string]any{"createdAt": p.createdOr(created)})
	format := "pytorch"
	if ext == ".safetensors" || ext == ".onnx" {
		format = ext[1:]
	}
	object("config", map[string]any{"format": format})
	p.config["modelfs"] = nil
	object("modelfs", map[string]any{"type": "layers", "diffIds": p.diffs})
	b, _ := json.Marshal(p.config)
	return b
}
